"""What the answers look like, for the description. They filter nothing; tests hold the real answers to them."""
