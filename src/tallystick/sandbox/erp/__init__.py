"""A small, fast ERP: masters, orders, stock, credit, shipments, invoices, payments, credit memos, and its own books."""
