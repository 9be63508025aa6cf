"""A small distributor's systems to try Tallystick on: real HTTP servers with state of their own and faults to switch on.

They are somebody else's systems: of ours they know the documents only.
"""
