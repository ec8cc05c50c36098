"""What a person gets no more: signed links, and the page where they unsubscribe and come back."""
