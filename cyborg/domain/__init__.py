"""Values and pure rules that every layer shares. Imports nothing else of ours."""
