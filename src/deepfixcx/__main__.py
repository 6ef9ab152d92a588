"""``python -m deepfixcx`` is the program ``deepfixcx``."""

from deepfixcx.cli import main

if __name__ == "__main__":
    main()
