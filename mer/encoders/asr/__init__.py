"""Speech to text: where there is speech, what was said, and whose word counts."""
