package config

import "reflect"

// Within gives the config as a daemon can have it that began with another: what is tagged
// `until:"restart"` stays as it was there. waits are the keys that would be different.
func (c *Config) Within(begun *Config) (now *Config, waits []string) {
	fixed := *c
	to, from := reflect.ValueOf(&fixed).Elem(), reflect.ValueOf(begun).Elem()
	for i := range to.NumField() {
		field := to.Type().Field(i)
		if field.Tag.Get("until") != "restart" {
			continue
		}
		if !reflect.DeepEqual(to.Field(i).Interface(), from.Field(i).Interface()) {
			waits = append(waits, field.Tag.Get("yaml"))
		}
		to.Field(i).Set(from.Field(i))
	}
	return &fixed, waits
}
