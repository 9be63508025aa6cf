"""A tax service: tax by jurisdiction, line by line, with exemptions and versioned rates; it stores no orders."""
