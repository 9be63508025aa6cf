"""A CRM: the sales side's orders and opportunities, and what became of them."""
