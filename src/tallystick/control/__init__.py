"""What people govern with: exceptions, lineage, audit, access, and the health of the flow."""
