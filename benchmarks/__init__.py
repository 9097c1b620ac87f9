"""What does the service cost, beside its peers? See README.md."""
