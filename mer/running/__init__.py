"""What stages and commands run with: lines on a terminal, faults told in one line, an end with the parent."""
