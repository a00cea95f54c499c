"""What the parts of ./acceptance share. Python's standard library only."""
