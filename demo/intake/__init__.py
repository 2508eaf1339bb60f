"""What people send: limited, unpacked, and removed again."""
