"""What to do about an object, given what is seen of it. Pure: no I/O, no clock, no environment."""
