"""The API under schemathesis: what its OpenAPI document says is what it does."""
