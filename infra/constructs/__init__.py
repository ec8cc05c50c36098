"""One construct a capability; `infra.stack` puts them together."""
