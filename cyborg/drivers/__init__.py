"""What knows hardware: the contract, its loader, and one module or package a family."""
