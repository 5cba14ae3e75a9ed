// What a pod, a claim or the configuration names as its model: `model`, and `revision` in the
// second line.

#include <algorithm>

#include "base/model.h"
#include "test/fuzz/fuzz.h"

namespace weighhouse {

WEIGHHOUSE_FUZZ_TARGET(model_reference, bytes) {
  std::string_view rest = bytes;
  std::string_view model = fuzz::TakeUntil(rest, '\n');
  Result<ModelReference> reference = ModelReference::Parse(model, rest);
  auto harmless = [](std::string_view text) {
    return std::ranges::none_of(text, [](unsigned char c) { return c < 0x20 || c == 0x7F; });
  };
  if (!reference) {
    CHECK(reference.error().code == Code::kInvalidArgument);
    CHECK(harmless(reference.error().message) && reference.error().message.size() < 2000);
    return;
  }
  CHECK(harmless(reference->uri) && harmless(reference->revision));
  CHECK(reference->uri.starts_with(std::string(reference->Scheme()) + "://"));
  // What is recorded of it names the same again: a fill that was interrupted goes on by that text.
  Result<ModelReference> again = ModelReference::Parse(reference->uri, reference->revision);
  CHECK(again && again->uri == reference->uri && again->revision == reference->revision);
  if (reference->Scheme() == "hf") {
    Result<ModelReference> recorded = ModelReference::Parse(reference->ToString());
    CHECK(recorded && recorded->uri == reference->uri);
    CHECK(recorded->RevisionOrDefault() == reference->RevisionOrDefault());
    CHECK(std::ranges::count(reference->uri, '/') == 3 && !reference->uri.contains(".."));
  } else if (reference->Scheme() != "oci" && reference->Scheme() != "modelscope") {
    CHECK(reference->revision.empty());
  }
  if (reference->Scheme() == "file") CHECK(!(reference->uri + "/").contains("/../"));
  CHECK(reference->Fingerprint() == ModelReference(*reference).Fingerprint());
  // A query may be a signature.
  size_t query = reference->uri.find('?');
  if (reference->Scheme() != "file" && query != std::string::npos) {
    CHECK(reference->ToString() == reference->uri.substr(0, query) + "?…");
  }
}

}  // namespace weighhouse
