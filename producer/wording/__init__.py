"""What two jobs write differently and compute the same: rules on declarations, and the scales they give."""
