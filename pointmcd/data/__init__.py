"""What do networks train on? Data sets, their splits, augmentation and stored views."""
