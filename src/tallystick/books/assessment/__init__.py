"""The first hour's value: two exports without any configuration become a report of what breaks, why, and what to do first."""
