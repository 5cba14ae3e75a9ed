#include "cache-daemon/source/ip_address.h"

#include <gtest/gtest.h>

namespace weighhouse::source {
namespace {

AddressKind KindOfText(std::string_view text) {
  std::optional<IpAddress> address = IpAddress::Parse(text);
  EXPECT_TRUE(address) << text;
  return KindOf(*address);
}

TEST(IpAddressTest, TellsWhatAnAddressIsFor) {
  using enum AddressKind;
  const std::pair<const char*, AddressKind> kCases[] = {
      {"8.8.8.8", kPublic},
      {"2606:4700::1", kPublic},
      {"172.15.255.255", kPublic},
      {"172.32.0.0", kPublic},
      {"10.0.0.1", kPrivate},
      {"172.16.0.1", kPrivate},
      {"172.31.255.255", kPrivate},
      {"192.168.1.1", kPrivate},
      {"100.64.0.1", kPrivate},
      {"100.127.255.255", kPrivate},
      {"100.128.0.0", kPublic},
      {"fd12::1", kPrivate},
      {"127.0.0.1", kLoopback},
      {"127.255.255.255", kLoopback},
      {"::1", kLoopback},
      {"169.254.169.254", kLinkLocal},
      {"fe80::1", kLinkLocal},
      {"febf::1", kLinkLocal},
      {"fe80::1%eth0", kLinkLocal},
      {"fec0::1", kReserved},
      {"fd00:ec2::254", kMetadata},
      {"fd00:ec2::23", kMetadata},
      {"fd20:ce::254", kMetadata},
      {"168.63.129.16", kMetadata},
      {"100.100.100.200", kMetadata},
      {"192.0.0.192", kMetadata},
      {"0.0.0.0", kUnspecified},
      {"0.1.2.3", kUnspecified},
      {"::", kUnspecified},
      {"224.0.0.1", kMulticast},
      {"ff02::1", kMulticast},
      {"255.255.255.255", kReserved},
      {"192.0.0.1", kReserved},
      {"64:ff9b:1::a9fe:a9fe", kReserved},
      {"64:ff9b:1:ffff::1", kReserved},
      {"64:ff9b:2::1", kPublic},
      {"::ffff:0:10.0.0.1", kReserved},
  };
  for (const auto& [text, kind] : kCases) EXPECT_EQ(KindOfText(text), kind) << text;
}

TEST(IpAddressTest, AnAddressThatStandsForAnIpv4OneIsThatOne) {
  using enum AddressKind;
  for (const char* text : {"::ffff:127.0.0.1", "::127.0.0.1", "64:ff9b::7f00:1",
                           "2002:7f00:1::", "[::ffff:127.0.0.1]"}) {
    EXPECT_EQ(KindOfText(text), kLoopback) << text;
    EXPECT_EQ(IpAddress::Parse(text)->ToString(), "127.0.0.1") << text;
  }
  EXPECT_EQ(KindOfText("64:ff9b::a9fe:a9fe"), kLinkLocal);
  EXPECT_EQ(KindOfText("2002:808:808::"), kPublic);
}

TEST(IpAddressTest, NamesAreNoAddresses) {
  for (const char* text : {"", "localhost", "127.1", "1.2.3", "0x7f000001", "127.0.0.1 ", "1::2::3",
                           "[]", "127.0.0.256"}) {
    EXPECT_FALSE(IpAddress::Parse(text)) << text;
  }
  EXPECT_FALSE(IpAddress::Parse(std::string_view("127.0.0.1\0", 10)));
}

TEST(AddressRangeTest, ContainsWhatBeginsAlike) {
  auto contains = [](const char* range, const char* address) {
    return AddressRange::Parse(range).value().Contains(*IpAddress::Parse(address));
  };
  EXPECT_TRUE(contains("10.0.0.0/8", "10.255.0.1"));
  EXPECT_FALSE(contains("10.0.0.0/8", "11.0.0.0"));
  EXPECT_TRUE(contains("10.96.0.0/12", "10.111.255.255"));
  EXPECT_FALSE(contains("10.96.0.0/12", "10.112.0.0"));
  EXPECT_TRUE(contains("192.0.2.7", "192.0.2.7"));
  EXPECT_FALSE(contains("192.0.2.7", "192.0.2.6"));
  EXPECT_TRUE(contains("0.0.0.0/0", "9.9.9.9"));
  EXPECT_FALSE(contains("0.0.0.0/0", "2001:db8::1"));
  EXPECT_TRUE(contains("::/0", "9.9.9.9"));
  EXPECT_TRUE(contains("fd00::/8", "fdff::1"));
  EXPECT_TRUE(contains("127.0.0.0/8", "::ffff:127.0.0.1"));
}

TEST(AddressRangeTest, WhatIsBeyondThePrefixSaysNothing) {
  EXPECT_EQ(AddressRange::Parse("10.1.2.3/8").value(), AddressRange::Parse("10.0.0.0/8").value());
  EXPECT_NE(AddressRange::Parse("10.0.0.0/9").value(), AddressRange::Parse("10.0.0.0/8").value());
}

TEST(AddressRangeTest, RefusesWhatIsNone) {
  for (const char* text : {"", "host", "10.0.0.0/33", "10.0.0.0/-1", "10.0.0.0/", "10.0.0.0/8x",
                           "::1/129", "10/8", "/8"}) {
    Result<AddressRange> range = AddressRange::Parse(text);
    ASSERT_FALSE(range) << text;
    EXPECT_EQ(range.error().code, Code::kInvalidArgument);
  }
}

}  // namespace
}  // namespace weighhouse::source
