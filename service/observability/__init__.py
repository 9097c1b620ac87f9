"""What is logged, counted, traced?"""
