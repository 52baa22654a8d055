"""What visitors fill in."""

from __future__ import annotations

from django import forms

from bench.service.shop.models import Category, Review


class ReviewForm(forms.ModelForm):
    class Meta:
        model = Review
        fields = ("author", "rating", "text")

    def clean_text(self) -> str:
        text: str = self.cleaned_data["text"].strip()
        if len(text.split()) < 2:
            raise forms.ValidationError("Please tell us a little more.")
        return text


class SearchForm(forms.Form):
    q = forms.CharField(min_length=2, max_length=60)
    category = forms.ModelChoiceField(
        Category.objects.all(), to_field_name="slug", required=False, empty_label="all"
    )
