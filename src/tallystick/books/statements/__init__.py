"""What banks say of an account, whatever the format they say it in."""
