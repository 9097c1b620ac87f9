"""What a chat is, without I/O: stdlib, attrs, cattrs and msgspec only."""
