#include "tidy/functions.h"

#include <algorithm>
#include <cctype>

#include "tidy/source.h"

namespace faultline::tidy {
namespace {

bool IsWordChar(char c) { return isalnum(static_cast<unsigned char>(c)) || c == '_' || c == ':'; }

bool HasWord(std::string_view text, std::string_view word) {
  for (size_t at = text.find(word); at != std::string_view::npos; at = text.find(word, at + 1)) {
    const bool begins = at == 0 || !IsWordChar(text[at - 1]);
    const size_t end = at + word.size();
    if (begins && (end == text.size() || !IsWordChar(text[end]))) return true;
  }
  return false;
}

// What stands before a '{' since the last ';', '{' or '}' outside parentheses.
enum class Opens { kScope, kFunction, kOther };

Opens Classify(std::string_view head) {
  const size_t paren = head.find('(');
  const std::string_view before = head.substr(0, paren);
  if (paren == std::string_view::npos) {
    for (const std::string_view word :
         {"namespace", "class", "struct", "union", "enum", "extern"}) {
      if (HasWord(before, word)) return Opens::kScope;
    }
    return Opens::kOther;
  }
  if (before.find('=') != std::string_view::npos &&
      before.find("operator") == std::string_view::npos)
    return Opens::kOther;
  return Opens::kFunction;
}

std::string NameOf(std::string_view head) {
  size_t paren = head.find('(');
  // SEC("tcx/egress") int Egress(struct __sk_buff* skb) {
  if (head.substr(0, paren).ends_with("SEC")) paren = head.find('(', paren + 1);
  size_t begin = paren;
  while (begin > 0 && (IsWordChar(head[begin - 1]) || head[begin - 1] == '~')) --begin;
  std::string name(head.substr(begin, paren - begin));
  if (name.starts_with("TEST") || name.starts_with("TYPED_TEST")) {
    name = std::string(head.substr(begin, head.find(')') + 1 - begin));
    name.erase(std::remove(name.begin(), name.end(), '\n'), name.end());
  }
  return name;
}

// Blanks preprocessor lines: their braces need not pair.
std::string WithoutDirectives(std::string text) {
  bool directive = false;
  for (size_t begin = 0; begin < text.size();) {
    const size_t end = std::min(text.find('\n', begin), text.size());
    const size_t first = text.find_first_not_of(" \t", begin);
    directive = directive || (first < end && text[first] == '#');
    const bool continues = end > begin && text[end - 1] == '\\';
    if (directive) std::fill(text.begin() + begin, text.begin() + end, ' ');
    directive = directive && continues;
    begin = end + 1;
  }
  return text;
}

size_t LineOf(std::string_view text, size_t offset) {
  return 1 + std::count(text.begin(), text.begin() + offset, '\n');
}

size_t MatchingBrace(std::string_view text, size_t open) {
  int depth = 0;
  for (size_t i = open; i < text.size(); ++i) {
    if (text[i] == '{') ++depth;
    if (text[i] == '}' && --depth == 0) return i;
  }
  return text.size() - 1;
}

// A brace that initialises a member ("A() : b_{1} {}") belongs to the head, not to the body.
bool InitialisesMember(std::string_view text, std::string_view head, size_t open) {
  const size_t colon = head.find(')') == std::string_view::npos ? std::string_view::npos
                                                                : head.find(" : ", head.find(')'));
  return colon != std::string_view::npos && open > 0 && IsWordChar(text[open - 1]);
}

}  // namespace

std::vector<Function> FindFunctions(std::string_view cpp) {
  const std::string text = WithoutDirectives(WithoutComments(cpp, /*keep_strings=*/false));
  std::vector<Function> found;
  size_t head_begin = 0;
  int parens = 0;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '(') ++parens;
    if (text[i] == ')') --parens;
    if (parens > 0) continue;
    if (text[i] == ';' || text[i] == '}') head_begin = i + 1;
    if (text[i] != '{') continue;
    const std::string_view head = std::string_view(text).substr(head_begin, i - head_begin);
    const Opens opens = Classify(head);
    if (opens == Opens::kScope) {
      head_begin = i + 1;
      continue;
    }
    const size_t close = MatchingBrace(text, i);
    if (opens == Opens::kFunction && InitialisesMember(text, head, i)) {
      i = close;
      continue;
    }
    if (opens == Opens::kFunction) {
      const size_t begin = head_begin + head.find_first_not_of(" \t\n");
      const size_t first = LineOf(text, begin);
      found.push_back({NameOf(head), first, LineOf(text, close) - first + 1});
    }
    i = close;
    head_begin = close + 1;
  }
  return found;
}

}  // namespace faultline::tidy
