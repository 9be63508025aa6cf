"""The order-to-cash flow, one file a stage: intake, commitment, fulfilment, invoicing, settlement, returns, publication."""
