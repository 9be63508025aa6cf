"""What takes bytes from outside, tried with bytes that nobody meant: by hypothesis in the tests, by atheris in `make fuzz`."""
