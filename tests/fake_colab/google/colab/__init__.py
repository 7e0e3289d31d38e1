"""A fake of Google's package (see ``README.md`` two folders up). As there, importing it imports the parts."""

from google.colab import drive as drive
from google.colab import errors as errors
from google.colab import output as output
from google.colab import userdata as userdata
