"""What do clients see?"""
