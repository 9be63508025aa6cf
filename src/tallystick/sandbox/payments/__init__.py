"""A payment gateway: takes invoices for collection, has simulated customers pay them, and reports every payment."""
