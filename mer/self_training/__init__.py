"""Cross-fitted experts that vote, and the distillation of their vote into students on unlabeled clips."""
