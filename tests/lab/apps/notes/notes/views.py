"""The pages."""

import os

from django.http import HttpResponse, HttpResponseRedirect
from django.utils.html import escape
from django.views.decorators.csrf import csrf_exempt

from notes.models import Note


@csrf_exempt
def notes(request):
    if request.method == "POST":
        Note.objects.create(text=request.POST["text"])
        return HttpResponseRedirect("/")
    lines = "".join(f"<li>{escape(one.text)}</li>" for one in Note.objects.order_by("id"))
    return HttpResponse(f"<h1>{os.environ['HEADING']}</h1><ul>{lines}</ul>")


def health(request):
    return HttpResponse(str(Note.objects.count()))
