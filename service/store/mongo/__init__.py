"""How are conversations kept in MongoDB, and shared by several processes?"""
