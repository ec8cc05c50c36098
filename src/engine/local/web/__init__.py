"""The web parts that inbox, preview and simulator share: server, checks, page layout, live updates."""
