"""From a query to rankings, comparisons, costs and explanations."""
