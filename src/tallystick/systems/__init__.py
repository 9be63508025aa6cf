"""The connected systems: what a system can do (ports), how it is registered, and one folder a system."""
