"""A warehouse: takes shipment requests, ships as its plans say, and reports every dispatch and return."""
