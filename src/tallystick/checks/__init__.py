"""May this order be committed? One file a check: customer, price, tax, inventory, credit."""
