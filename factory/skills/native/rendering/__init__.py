"""What the document skills share: escaping for each target, templates, and the model put into English."""
