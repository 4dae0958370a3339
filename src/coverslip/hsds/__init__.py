"""The real HSDS, run beside coverslip from an environment of its own."""
