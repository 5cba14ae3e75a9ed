#include "cache-daemon/source/oci/challenge.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "base/text.h"

namespace weighhouse::source::oci {
namespace {

constexpr size_t kMostChallenges = 16;
constexpr size_t kMostParameters = 32;

bool IsTokenCharacter(char c) {
  bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
  return letter || std::string_view("!#$%&'*+-.^_`|~").contains(c);
}

/// Reads a list from its start, piece by piece.
class Cursor {
 public:
  explicit Cursor(std::string_view text) : rest_(text) {}

  bool done() const { return rest_.empty(); }
  void SkipSpaces() { Skip(" \t"); }
  void SkipSeparators() { Skip(" \t,"); }
  bool Take(char c) {
    if (!rest_.starts_with(c)) return false;
    rest_.remove_prefix(1);
    return true;
  }
  std::string_view Token() {
    size_t size = 0;
    while (size < rest_.size() && IsTokenCharacter(rest_[size])) ++size;
    return Cut(size);
  }
  /// A token or a quoted string, without its quotes and escapes.
  std::optional<std::string> Value() {
    if (!Take('"')) {
      std::string token(Token());
      return token.empty() ? std::nullopt : std::optional(std::move(token));
    }
    std::string value;
    while (!rest_.empty()) {
      char c = rest_.front();
      rest_.remove_prefix(1);
      if (c == '"') return value;
      if (c == '\\') {
        if (rest_.empty()) return std::nullopt;
        c = rest_.front();
        rest_.remove_prefix(1);
      }
      value += c;
    }
    return std::nullopt;
  }
  /// `name = value`; nothing, and nothing taken, where another challenge begins. Takes all of a
  /// rest that is broken.
  std::optional<std::pair<std::string, std::string>> Parameter() {
    std::string_view before = rest_;
    std::string name = ToLower(Token());
    SkipSpaces();
    if (!name.empty() && Take('=')) {
      SkipSpaces();
      if (std::optional<std::string> value = Value()) return std::pair(name, *std::move(value));
      before = {};  // broken, and so is what follows
    }
    rest_ = before;
    return std::nullopt;
  }

 private:
  void Skip(std::string_view characters) {
    Cut(std::min(rest_.find_first_not_of(characters), rest_.size()));
  }
  std::string_view Cut(size_t size) {
    std::string_view taken = rest_.substr(0, size);
    rest_.remove_prefix(size);
    return taken;
  }

  std::string_view rest_;
};

}  // namespace

std::string Challenge::Find(const std::string& name) const {
  auto found = parameters.find(name);
  return found == parameters.end() ? "" : found->second;
}

std::vector<Challenge> ParseChallenges(std::string_view text) {
  std::vector<Challenge> challenges;
  Cursor cursor(text);
  cursor.SkipSeparators();
  while (!cursor.done() && challenges.size() < kMostChallenges) {
    Challenge challenge{.scheme = ToLower(cursor.Token()), .parameters = {}};
    if (challenge.scheme.empty()) break;
    cursor.SkipSeparators();
    while (challenge.parameters.size() < kMostParameters) {
      auto parameter = cursor.Parameter();
      if (!parameter) break;
      challenge.parameters.insert(*std::move(parameter));
      cursor.SkipSeparators();
    }
    challenges.push_back(std::move(challenge));
    cursor.SkipSeparators();
  }
  return challenges;
}

}  // namespace weighhouse::source::oci
