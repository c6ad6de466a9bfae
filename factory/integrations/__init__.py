"""What is outside the factory, and how it is reached."""
