"""How a command fails: with one line for a person and an exit code for a program."""

from __future__ import annotations


class CommandFailed(Exception):
    """A command could not do what it was asked. The message is one line: what, where, which value, what to do next."""

    exit_code = 1


class Refused(CommandFailed):
    """Tallystick answered with a no; the message is its own."""


class WrongUse(CommandFailed):
    """The command was given something that it can't work with."""

    exit_code = 2


class NoAnswer(CommandFailed):
    """Nobody answers at the address, or somebody who is not Tallystick."""

    exit_code = 2
