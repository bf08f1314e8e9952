"""What comes from others, spoilt in every way that hypothesis finds: no crash, no hang, bounded memory."""
