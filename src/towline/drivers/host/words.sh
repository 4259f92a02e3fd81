# Words for the journal, made from whatever a program printed. `home` and `work` must be set.

# What is stashed when a batch begins, the longest first: a value may be part of another one.
learn_words() {
  : >"$work/words"
  [ ! -d "$home/stash/.words" ] || cat "$home"/stash/.words/* 2>/dev/null |
    LC_ALL=C awk '{ print length($0) "\t" $0 }' | sort -rn | cut -f 2- >"$work/words"
}

# told MODE [WORDS]: of the lines of stdin, with what the file WORDS holds masked:
# lines, as they come; strings, all as JSON strings with commas between them; last, the last one that is not empty, as a
# JSON string, or nothing. Of JSON strings no byte but NUL is lost.
told() {
  LC_ALL=C awk -v mode="$1" -v words="${2-}" '
    BEGIN {
      for (i = 1; i < 32; i++) code[sprintf("%c", i)] = sprintf("\\u%04x", i)
      code["\177"] = "\\u007f"; code["\\"] = "\\\\"; code["\""] = "\\\""
      if (words != "") while ((getline word < words) > 0) if (length(word) >= 6) known[++count] = word
    }
    function clean(line,   i, at, out) {
      for (i = 1; i <= count; i++) {
        out = ""
        while ((at = index(line, known[i])) > 0) {
          out = out substr(line, 1, at - 1) "●●●●"
          line = substr(line, at + length(known[i]))
        }
        line = out line
      }
      return line
    }
    function string(line,   i, size, one, out) {
      if (line !~ /["\\[:cntrl:]]/) return "\"" line "\""
      size = length(line)
      for (i = 1; i <= size; i++) { one = substr(line, i, 1); out = out ((one in code) ? code[one] : one) }
      return "\"" out "\""
    }
    mode == "lines" { print clean($0); fflush() }
    mode == "strings" { printf "%s%s", (NR > 1 ? "," : ""), string(clean($0)) }
    mode == "last" && /[^[:space:]]/ { last = $0 }
    END { if (last != "") printf "%s", string(substr(clean(last), 1, 2000)) }'
}

# The lines of stdin as JSON strings with commas between them.
json_strings() { tr -d '\000' | told strings; }

# The last line of stdin that is not empty.
last_line() { tail -c 65536 | tr -d '\000' | LC_ALL=C awk '/[^[:space:]]/ { last = $0 } END { if (last != "") print substr(last, 1, 2000) }'; }

# stdin with every stashed value masked.
masked() { if [ -s "$work/words" ]; then told lines "$work/words"; else cat; fi; }

# fail SENTENCE [HINT]: end a step with what a person should read; its evidence is what it has printed.
fail() {
  printf '%s\n' "$1" >"$work/sentence"
  printf '%s\n' "${2-}" >"$work/hint"
  exit 1
}
