"""MR-CCL in pure torch: noise, modality encoders, contrastive losses, classifiers, voting."""
