"""Cash application: which open items a payment is for, how sure that is, and what a person is asked."""
