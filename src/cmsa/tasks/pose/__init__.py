"""Human pose: keypoints of a person."""
