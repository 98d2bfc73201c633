"""What do the networks make of one shape?"""
