"""Renders chat templates with transformers' own Jinja environment into tests/data/chat/goldens.json.

Run: python tools/goldens/make_chat_goldens.py   (transformers >= 5, jinja2 >= 3.1)
The templates in tests/data/chat/*.jinja use the constructs and control tokens of the families they are named after.
Two lists come out: `conversations` (template x conversation) and `language` (one construct each). A case holds the
expected bytes, or "error": true where Jinja refuses it.
"""
import copy
import datetime
import json
import pathlib

import jinja2
from transformers.utils.chat_template_utils import _compile_jinja_template

HERE = pathlib.Path(__file__).resolve().parents[2] / "tests" / "data" / "chat"
NOW = datetime.datetime(2024, 7, 26, 12, 34, 56)  # local time; the test makes the same


def render(source, context):
    template = _compile_jinja_template(source)
    template.environment.globals["strftime_now"] = NOW.strftime
    template.globals["strftime_now"] = NOW.strftime
    context = copy.deepcopy(context)  # a template can change lists in place (`[1] | indent`)
    full = {"tools": None, "documents": None, "add_generation_prompt": False, **context}
    return template.render(**full)


def case(source, context):
    try:
        return {"expected": render(source, context)}
    except (jinja2.exceptions.TemplateError, TypeError, ValueError, ZeroDivisionError, OverflowError) as error:
        return {"error": True, "why": str(error)[:120]}


WEATHER = {"type": "function", "function": {
    "name": "get_weather", "description": "Weather at a place.\nNow & <soon> \"quoted\"",
    "parameters": {"type": "object", "properties": {
        "place": {"type": "string", "description": "Städtename, e.g. Köln"},
        "days": {"type": "integer"}, "tags": {"type": "array", "items": {"type": "string"}},
        "extra": {"type": "object", "additionalProperties": {"type": ["number", "string"]}}},
        "required": ["place", "days"]}}}
CLOCK = {"type": "function", "function": {
    "name": "now", "description": "", "parameters": {"type": "object", "properties": {}}}}

CALL = {"role": "assistant", "content": "", "tool_calls": [
    {"id": "abc123XYZ", "type": "function", "function": {"name": "get_weather", "arguments": {"place": "Köln", "days": 2}}}]}

CONVERSATIONS = {
    "user": {"messages": [{"role": "user", "content": "Hi!"}]},
    "prompt": {"messages": [{"role": "user", "content": "  Hi there \n"}], "add_generation_prompt": True},
    "system": {"messages": [{"role": "system", "content": "Be brief. "}, {"role": "user", "content": "Why?"}],
               "add_generation_prompt": True},
    "turns": {"messages": [
        {"role": "system", "content": "Be kind."}, {"role": "user", "content": "Eins"},
        {"role": "assistant", "content": "Zwei ✓"}, {"role": "user", "content": "<|im_end|> 日本語 \\n"},
        {"role": "assistant", "content": "\n4\n"}]},
    "turns_without_system": {"messages": [
        {"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}, {"role": "user", "content": "c"}],
        "add_generation_prompt": True},
    "wrong_order": {"messages": [{"role": "assistant", "content": "b"}, {"role": "assistant", "content": "c"}]},
    "tools": {"messages": [{"role": "user", "content": "Weather in Köln?"}], "tools": [WEATHER, CLOCK],
              "add_generation_prompt": True},
    "tools_and_system": {"messages": [{"role": "system", "content": "S"}, {"role": "user", "content": "U"}],
                         "tools": [CLOCK]},
    "tools_not_in_user": {"messages": [{"role": "user", "content": "U"}], "tools": [WEATHER],
                          "tools_in_user_message": False},
    "tool_call": {"messages": [
        {"role": "user", "content": "Weather?"}, CALL, {"role": "tool", "content": "rain", "tool_call_id": "abc123XYZ"},
        {"role": "tool", "content": "12", "tool_call_id": "abc123XYZ"},
        {"role": "assistant", "content": "It rains."}, {"role": "user", "content": "Thanks"}],
        "tools": [WEATHER], "add_generation_prompt": True},
    "builtin_tools": {"messages": [{"role": "user", "content": "U"}], "builtin_tools": ["code_interpreter", "search"]},
    "thinking": {"messages": [
        {"role": "user", "content": "2+2"}, {"role": "assistant", "content": "<think>\neasy\n</think>\n\n4"},
        {"role": "user", "content": "3+3"}, {"role": "assistant", "content": "<think>\nhm\n</think>\n\n6"}]},
    "no_thinking": {"messages": [{"role": "user", "content": "2+2"}], "enable_thinking": False,
                    "add_generation_prompt": True},
    "parts": {"messages": [{"role": "user", "content": [{"type": "text", "text": " Look "}, {"type": "image"}]}],
              "add_generation_prompt": True},
    "nothing": {"messages": []},
}

MANY = {"xs": [3, 1, 2], "s": "  Hello World ", "d": {"b": 1, "a": "x", "items": "hidden", "n": None},
        "people": [{"name": "Ann", "age": 30, "tags": ["x"]}, {"name": "bob", "age": 25, "tags": []}, {"name": "Ann", "age": 41}],
        "f": 2.5, "i": 7, "t": True, "none": None, "empty": [], "u": "ÄÖß ǆ日本", "nested": {"a": {"b": [10, 20]}}}

# One line per construct. Where Jinja prints something that depends on its objects' addresses there is no line.
LANGUAGE = r"""
{{ 1 + 2 * 3 - 4 }}|{{ 7 // 2 }}|{{ -7 // 2 }}|{{ 7 % 3 }}|{{ -7 % 3 }}|{{ 7 % -3 }}|{{ 2 ** 10 }}|{{ -2 ** 2 }}|{{ 2 ** 3 ** 2 }}|{{ 2 ** -1 }}
{{ 7 / 2 }}|{{ 6 / 2 }}|{{ 7.5 // 2 }}|{{ -7.5 % 2 }}|{{ 1e100 }}|{{ 1e16 }}|{{ 1e15 }}|{{ 0.0001 }}|{{ 0.00001 }}|{{ 1.0 }}|{{ 123456789.125 }}|{{ 1_000 }}
{{ 'a' ~ 1 ~ none ~ true ~ 1.5 ~ [1] }}|{{ 'a' + 'b' * 3 }}|{{ [1] + [2] * 2 }}|{{ (1,) + (2, 3) }}|{{ 3 * 'ab' }}
{{ 1 < 2 }}|{{ 1 < 2 < 3 }}|{{ 1 < 3 < 2 }}|{{ 'a' < 'b' }}|{{ [1, 2] < [1, 3] }}|{{ 1 == 1.0 }}|{{ true == 1 }}|{{ '1' == 1 }}|{{ none == false }}
{{ 'a' in 'abc' }}|{{ 'z' not in 'abc' }}|{{ 2 in xs }}|{{ 'a' in d }}|{{ 'zz' in d }}|{{ not 1 in xs }}
{{ 1 and 2 }}|{{ 0 and 2 }}|{{ 0 or 'x' }}|{{ '' or 0 }}|{{ not '' }}|{{ not not 1 }}|{{ 1 or missing.x }}
{{ 'yes' if t else 'no' }}|{{ 'yes' if not t }}|{{ 'a' if false else 'b' if false else 'c' }}
{{ [1, 'a', none, true, 1.5, {'k': 'v'}, (1, 2), (1,), ()] }}
{{ "it's" }}|{{ ["it's", 'q"', 'b\\', 'tab\t', 'nl\n', "'\"", '\x01', 'é', '\u200b'] }}
{{ 'a' 'b' "c" }}|{{ 'x\ty' }}|{{ '\x41\u00e9\101' }}|{{ '\q' }}
{{ {'a': 1, 'a': 2, 1: 'i', none: 0, true: 5} }}|{{ {} }}|{{ [] }}|{{ {'a': {'b': {}}} }}
{{ d.a }}|{{ d['a'] }}|{{ d.missing }}|{{ d['items'] }}|{{ nested.a.b.1 }}|{{ nested['a']['b'][-1] }}|{{ xs[10] }}|{{ s[2] }}|{{ s[-2] }}|{{ none.x }}
{{ xs[1:] }}|{{ xs[:1] }}|{{ xs[::-1] }}|{{ xs[-2:] }}|{{ s[2:7] }}|{{ s[::-1] }}|{{ u[1:-1] }}|{{ xs[5:] }}|{{ xs[::2] }}|{{ xs[10:0:-2] }}|{{ (1,2,3)[1:] }}
{{ missing }}|{{ missing is defined }}|{{ d.zzz is defined }}|{{ d.a is defined }}|{{ missing | default('x') }}|{{ none | default('x') }}|{{ '' | default('x', true) }}|{{ missing | d }}
{{ missing.x }}
{{ missing['x'] }}
{{ missing + 1 }}
{{ missing() }}
{{ 1 + 'a' }}
{{ 1 / 0 }}
{{ 1 // 0 }}
{{ 'a' < 1 }}
{{ 1 in 'abc' }}
{{ 'a'() }}
{{ -'a' }}
{{ xs | tojson }}|{{ d | tojson }}|{{ 'a"\\/\n\té<>&\u2028' | tojson }}|{{ 1.0 | tojson }}|{{ none | tojson }}|{{ true | tojson }}|{{ {} | tojson }}|{{ [] | tojson(indent=2) }}|{{ {1: 2, true: 3} | tojson }}
{{ {'a': [1, {'b': []}], 'c': {}} | tojson(indent=2) }}
{{ {'a': [1, 2]} | tojson(indent=0) }}|{{ {'a': [1, 2]} | tojson(indent='\t') }}|{{ {'b': 1, 'a': 2} | tojson(sort_keys=true) }}
{{ 'é😀\x7f' | tojson(ensure_ascii=true) }}|{{ {'a': [1, 2]} | tojson(separators=(',', ':')) }}|{{ {'a': 1} | tojson(indent=1, separators=(' , ', ' : ')) }}
{{ missing | tojson }}
{{ d.items() | tojson }}
{{ s | trim }}|{{ 'xxaxx' | trim('x') }}|{{ '\u3000a\u00a0' | trim }}|{{ s | upper }}|{{ s | lower }}|{{ 'hELLO wORLD' | capitalize }}|{{ u | upper }}|{{ u | lower }}|{{ 'ßa' | capitalize }}
{{ "hello world-foo (bar) it's" | title }}|{{ "hello world-foo it's".title() }}|{{ 'ǆa ßb'.title() }}
{{ xs | length }}|{{ u | length }}|{{ d | length }}|{{ xs | count }}|{{ missing | length }}
{{ 5 | length }}
{{ xs | join }}|{{ xs | join(', ') }}|{{ people | join(', ', attribute='name') }}|{{ 'abc' | join('-') }}|{{ d | join(',') }}|{{ [none, true, 1.0] | join('|') }}
{{ xs | first }}|{{ xs | last }}|{{ empty | first }}|{{ empty | last }}|{{ 'abc' | first }}|{{ 'abc' | last }}|{{ d | first }}
{{ 'abc' | list }}|{{ d | list }}|{{ range(3) | list }}|{{ range(5, 0, -2) | list }}|{{ range(2, 5)[1] }}
{{ people | map(attribute='name') | list }}|{{ people | map(attribute='zip', default='?') | list }}|{{ ['a', 'B'] | map('upper') | list }}|{{ [{'a': {'b': [5]}}] | map(attribute='a.b.0') | list }}|{{ [' a '] | map('trim') | map('replace', 'a', 'b') | join }}
{{ missing | int }}
{{ missing | float }}
{{ xs[1:2] | first }}|{{ none | select | list }}|{{ 0 | map('upper') | list }}|{{ 2.5 is odd }}|{{ 3.0 is odd }}|{{ 4.0 is even }}|{{ 4.5 is divisibleby 1.5 }}
{{ d.n[1:] }}
{{ i[:2] }}
{{ xs | select('odd') | list }}|{{ xs | reject('odd') | list }}|{{ xs | select('gt', 1) | list }}|{{ [0, 1, '', 'a'] | select | list }}|{{ xs | select('in', [1, 2]) | list }}
{{ people | selectattr('age', '>', 26) | map(attribute='name') | join(',') }}|{{ people | rejectattr('tags') | list | length }}|{{ people | selectattr('name', 'equalto', 'Ann') | list | length }}|{{ people | selectattr('tags', 'undefined') | list | length }}
{{ 5 | string + '!' }}|{{ '42' | int + 1 }}|{{ '4.7' | int }}|{{ 'x' | int }}|{{ 'x' | int(7) }}|{{ 4.9 | int }}|{{ ' 12 ' | int }}|{{ true | int }}|{{ none | int }}
{{ '1.5' | float }}|{{ 'x' | float }}|{{ 3 | float }}|{{ 'x' | float(2.0) }}|{{ '1e3' | float }}
{% for k, v in d | items %}{{ k }}={{ v }};{% endfor %}|{% for k, v in missing | items %}x{% endfor %}
{{ 'aXbXc' | replace('X', '-') }}|{{ 'aXbXc' | replace('X', '-', 1) }}|{{ 'abc' | replace('', '.') }}|{{ 123 | replace(2, 'x') }}
{{ '<b>' | safe }}|{{ ('<b>' | safe) ~ '<i>' }}|{{ ('<b>' | safe) + '<i>' }}|{{ '<&">' | e }}
{{ 'a\nb\n\nc' | indent }}|{{ 'a\nb' | indent(2, true) }}|{{ 'a\n\nb' | indent(2, blank=true) }}|{{ 'a\nb' | indent('> ', first=true) }}|{{ 'a\n' | indent }}|{{ '' | indent }}
{{ ['a', 'A', 'b', 1, 1] | unique | list }}|{{ ['a', 'A'] | unique(true) | list }}|{{ people | unique(attribute='name') | list | length }}
{{ ['b', 'A', 'c'] | sort }}|{{ ['b', 'A', 'c'] | sort(case_sensitive=true) }}|{{ xs | sort(reverse=true) }}|{{ people | sort(attribute='age') | map(attribute='age') | list }}
{{ ['a', 1] | sort }}
{{ d | dictsort }}
{{ {'b': 1, 'A': 2, 'c': 0} | dictsort }}|{{ {'b': 1, 'A': 2} | dictsort(by='value') }}|{{ {'b': 1, 'A': 2} | dictsort(true, reverse=true) }}
{{ 2.5 | round }}|{{ 3.5 | round }}|{{ 2.675 | round(2) }}|{{ 42.55 | round(1, 'floor') }}|{{ 42.1 | round(method='ceil') }}|{{ 42 | round }}|{{ -1.5 | round }}|{{ 1.25 | round(1) }}
{{ -3 | abs }}|{{ (-3) | abs }}|{{ -2.5 | abs }}|{{ xs | reverse | list }}|{{ 'abc' | reverse }}|{{ xs | max }}|{{ xs | min }}|{{ people | max(attribute='age') | length }}|{{ [] | max }}
{{ s.strip() }}|{{ s.lstrip() }}|{{ s.rstrip() }}|{{ 'xyaxy'.strip('yx') }}|{{ 'aa'.lstrip('a') }}|{{ '--a'.lstrip('-') }}|{{ u.upper() }}|{{ u.lower() }}|{{ 'ΑΣ'.lower() }}
{{ 'a b  c'.split() }}|{{ 'a,b,,c'.split(',') }}|{{ 'a,b,c'.split(',', 1) }}|{{ ' a b c '.split(none, 1) }}|{{ 'a,b,c'.rsplit(',', 1) }}|{{ ''.split() }}|{{ ''.split(',') }}|{{ 'a\nb\r\nc\n'.splitlines() }}|{{ 'a--b'.split('--')[-1] }}
{{ 'abc'.startswith('ab') }}|{{ 'abc'.endswith(('x', 'c')) }}|{{ 'abc'.replace('b', 'x') }}|{{ '-'.join(['a', 'b']) }}|{{ 'hELLO'.capitalize() }}|{{ 'abcabc'.find('c') }}|{{ 'abcabc'.rfind('c') }}|{{ 'ab'.find('z') }}|{{ 'aXa'.count('a') }}|{{ 'pre-x'.removeprefix('pre-') }}|{{ 'x.py'.removesuffix('.py') }}
{{ '-'.join([1]) }}
{{ 'a'.split('') }}
{{ d.items() }}|{{ d.keys() }}|{{ d.values() }}|{{ d.get('a') }}|{{ d.get('z') }}|{{ d.get('z', 1) }}|{{ d.keys() | list }}
{% for k, v in d.items() %}{{ loop.index }}{{ k }}{{ v }}{% if not loop.last %},{% endif %}{% endfor %}
{{ 1 is defined }}|{{ none is none }}|{{ missing is none }}|{{ '' is string }}|{{ d is mapping }}|{{ xs is iterable }}|{{ 's' is iterable }}|{{ 1 is iterable }}|{{ xs is sequence }}|{{ d is sequence }}|{{ 1 is number }}|{{ true is number }}|{{ true is boolean }}|{{ 1 is boolean }}|{{ true is true }}|{{ 1 is true }}|{{ false is false }}|{{ 1 is integer }}|{{ true is integer }}|{{ 1.5 is float }}
{{ 3 is odd }}|{{ 4 is even }}|{{ 9 is divisibleby 3 }}|{{ 9 is divisibleby(2) }}|{{ 1 is in [1] }}|{{ 1 is not in [1] }}|{{ 1 is eq 1 }}|{{ 1 is ne(1) }}|{{ 1 is lt 2 }}|{{ 1 is equalto 1 }}|{{ 'A' is upper }}|{{ 'a' is lower }}|{{ missing is iterable }}|{{ range is callable }}|{{ missing is undefined }}
{% for x in xs %}{{ loop.index }}{{ loop.index0 }}{{ loop.revindex }}{{ loop.revindex0 }}{{ loop.first }}{{ loop.last }}{{ loop.length }}{{ loop.depth }};{% endfor %}
{% for x in xs %}{{ loop.previtem }}<{{ x }}>{{ loop.nextitem }}{{ loop.cycle('a', 'b') }};{% endfor %}
{% for x in xs if x > 1 %}{{ x }}{{ loop.length }}{% else %}none{% endfor %}|{% for x in xs if x > 9 %}{{ x }}{% else %}none{% endfor %}|{% for x in empty %}{% else %}e{% endfor %}
{% for a, (b, c) in [(1, (2, 3))] %}{{ a }}{{ b }}{{ c }}{% endfor %}|{% for x in missing %}x{% endfor %}|{% for c in 'añ' %}{{ c }}.{% endfor %}
{% for a, b in [(1, 2, 3)] %}{% endfor %}
{% for x in 5 %}{% endfor %}
{% for x in none %}{% endfor %}
{% for x in xs %}{% if x == 1 %}{% continue %}{% endif %}{{ x }}{% endfor %}|{% for x in xs %}{% if x == 1 %}{% break %}{% endif %}{{ x }}{% endfor %}
{% for x in xs %}{% continue %}{% else %}else{% endfor %}|{% for x in xs %}{% break %}{% else %}else{% endfor %}|{% for x in xs %}{% if x == 1 %}{% continue %}{% endif %}{% else %}else{% endfor %}
{% for x in xs %}{% for y in xs %}{% if y == 2 %}{% break %}{% endif %}{{ x }}{{ y }} {% endfor %}{{ loop.index }}{% endfor %}
{% set x = 1 %}{% for i in xs %}{% set x = x + i %}{{ x }},{% endfor %}{{ x }}
{% set ns = namespace(x=1) %}{% for i in xs %}{% set ns.x = ns.x + i %}{% endfor %}{{ ns.x }}|{{ ns.y }}|{% set ns.y = 5 %}{{ ns.y }}
{% set x = 1 %}{% if true %}{% set x = 2 %}{% endif %}{{ x }}|{% set a, b = 1, 2 %}{{ a }}{{ b }}|{% set y = 1, 2 %}{{ y }}
{% set x %}a{{ 1 }}b{% endset %}{{ x }}|{% set x | upper | trim %} abc {% endset %}{{ x }}
{% set d.x = 1 %}
{% macro f(a, b=2, c=a) %}[{{ a }},{{ b }},{{ c }}]{% endmacro %}{{ f(1) }}{{ f(1, 3) }}{{ f(1, c=9) }}{{ f() }}
{% macro f(a) %}{% endmacro %}{{ f(1, 2) }}
{% macro f(a) %}{% endmacro %}{{ f(z=2) }}
{% macro f(n) %}{% if n > 0 %}{{ n }}{{ f(n - 1) }}{% endif %}{% endmacro %}{{ f(4) }}
{% set x = 1 %}{% macro f() %}{{ x }}{% endmacro %}{% set x = 2 %}{{ f() }}
{% macro f() %}<{{ caller() }}>{% endmacro %}{% call f() %}body{% endcall %}|{% macro g(x) %}{{ caller(x) }}{% endmacro %}{% call(v) g(3) %}v={{ v }}{% endcall %}
{% macro f() %}a{% endmacro %}{{ f() | upper }}{{ f() ~ 'b' }}{{ f() + 'c' }}
{% filter upper %}a{{ 'b' }}{% endfilter %}|{% with x = 1, y = 2 %}{{ x }}{{ y }}{% endwith %}{{ x }}
{% generation %}abc{% endgeneration %}|{%- generation -%} x {%- endgeneration -%}
{% raw %}{{ x }}{% y %}{% endraw %}|{%- raw -%} {{ a }} {%- endraw -%} |
a{# comment {{ x }} #}b|{#- x -#} c
  {% if true %}  x  {% endif %}  |  {{ 1 }}  {%- if true %} y {%- endif %}  z
  {%+ if true %}a{% endif +%} b
{{ dict(a=1, b='x') }}|{{ dict({'a': 1}, b=2) }}|{{ namespace({'a': 1}).a }}
{{ strftime_now('%d %b %Y %H:%M:%S') }}|{{ strftime_now('%Y-%m-%d') }}|{{ strftime_now('%-d %B, %A %%') }}
{{ raise_exception('no') }}
{{ f is number and i is odd }}|{{ i if i is defined and i > 3 else 'small' }}|{{ (i, f) }}|{{ i, f }}
{% if xs|selectattr('zzz')|list %}a{% else %}b{% endif %}|{% if xs|select('gt', 5) %}always{% endif %}
{% set g = xs | map('string') %}{{ g | join }}{{ g | join }}|{% set g = xs | select %}{{ g | first }}{{ g | list }}
{% if d.items %}method{% endif %}|{{ d['items'] }}|{{ d.items is callable }}|{% if xs.append %}x{% else %}y{% endif %}
{{ xs.index(2) }}|{{ xs.count(3) }}
{{ xs.index(9) }}
{% if a %}{% elif b %}{% elif t %}T{% else %}E{% endif %}
{{ (missing or {}).get('x', 'y') }}|{{ ({'a': 1})['a'] }}|{{ [1, 2][0] }}|{{ 'abc'[1] }}|{{ {'a': [1, 2]}.a[1] }}
{{ 1 if missing is not defined or missing.x else 2 }}|{{ (1, 2) == (1, 2) }}|{{ [1] == (1,) }}|{{ {'a': 1} == {'a': 1.0} }}
{{ '%s' if false else 'ok' }}|{{ [1,2,] }}|{{ {'a': 1,} }}|{{ (1,) }}|{{ () }}
{{ xs|length > 2 and xs[0] == 3 }}|{{ xs | length - 1 }}|{{ -i|abs }}|{{ not xs | length == 3 }}|{{ 'a' ~ 'b' | upper }}|{{ 1 + 2 | string | length }}
""".strip("\n")
# Constructs of several lines.
MULTI = [
    "{{ x if\n   false else\n   'multi' }}", "{% if true -%}\n   a\n{%- endif %}\n\n  {%- if true %}\n    b\n  {% endif %}\nc\n",
    "{% for i in range(2) %}\n  {{ i }}\n  {% if i %}\n  odd\n  {% endif %}\n{% endfor %}\nend\n", "a\r\nb\r{{ 1 }}\r\n", "x\n\n", "\n",
    "  {# a #}\n  {# b -#}\n  c\n", "a  {%- raw %}\n {{ x }}\n  {% endraw %}\n b", "{% if true %}\n{% endif %}\n\n", "{{ 1 }}\n{{ 2 }}\n",
    "a\n   {{- 1 -}}   \n b", "{%- if true -%}  \n x \n {%- endif -%}\n", "\t{% set x = 1 %}\t{{ x }}", "{% set x = 1 %}  {% set y = 2 %}\n{{ x }}",
    "{{ '{{' }}{{ '%}' }}{{ \"}}\" }}", "{{ {'a': {'b': 1}} }}", "{{ {'a': {'b': 1}}['a']['b']}}", "text { not a tag } {", "{{ 'a\nb' }}",
]


def main():
    conversations = []
    for path in sorted(HERE.glob("*.jinja")):
        source = path.read_text()
        for name, context in CONVERSATIONS.items():
            context = {"bos_token": "<s>", "eos_token": "</s>", **context}
            conversations.append({"template": path.name, "name": name, **case(source, context)})
    language = [{"source": source, **case(source, MANY)} for source in LANGUAGE.split("\n") + MULTI]
    contexts = {name: {"bos_token": "<s>", "eos_token": "</s>", **context} for name, context in CONVERSATIONS.items()}
    out = {"language_context": MANY, "contexts": contexts, "conversations": conversations, "language": language}
    (HERE / "goldens.json").write_text(json.dumps(out, ensure_ascii=True, indent=1) + "\n")
    print(len(conversations), "conversations,", sum("error" in c for c in conversations), "refused;",
          len(language), "constructs,", sum("error" in c for c in language), "refused")


if __name__ == "__main__":
    main()
